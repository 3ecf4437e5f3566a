//! Which crate may depend on what: the tables. Nothing here looks at anything.

/// What one of the workspace's crates may use among the others; dev-dependencies are free.
pub(super) struct Edges {
    pub(super) package: &'static str,
    pub(super) may_use: &'static [&'static str],
    pub(super) why: &'static str,
}

const LEAF: &str = "a leaf knows the core's ports and no other leaf; what two leaves share is a port";

/// Every member of the workspace has a row.
pub(super) const EDGES: &[Edges] = &[
    Edges { package: "kode-core", may_use: &[], why: "the core knows no one; say it as a port" },
    Edges { package: "kode-testkit", may_use: &["kode-core"], why: "it serves tests of any crate" },
    Edges { package: "kode-store-fs", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-store-redis", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-store-postgres", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-sandbox", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-tools", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-provider-glm", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-mcp", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-import", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-otel", may_use: &["kode-core"], why: LEAF },
    Edges { package: "kode-pool", may_use: &["kode-core"], why: "it is made of ports, so any store fits" },
    Edges {
        package: "kode-server",
        may_use: &["kode-core", "kode-pool"],
        why: "it serves a pool that it is handed; kode-cli composes the leaves",
    },
    Edges { package: "kode-cli", may_use: SHIPPED, why: "the testkit is never needed at run time" },
    Edges { package: "examples", may_use: WHOLE, why: "an example shows the public API" },
    Edges { package: "kode-bench", may_use: WHOLE, why: "it measures the public API" },
    Edges {
        package: "kode-race",
        may_use: &["kode-core", "kode-testkit"],
        why: "it is tests only, and compiles the files of others that it tests",
    },
    Edges {
        package: "kode-escape",
        may_use: &["kode-core", "kode-sandbox"],
        why: "it attacks the sandbox by its public API, and nothing else needs it",
    },
    Edges {
        package: "kode-sim",
        may_use: &["kode-core", "kode-pool", "kode-testkit"],
        why: "its nodes are runtimes with pools; stores, models and tools are simulated",
    },
    Edges { package: "xtask", may_use: &[], why: "the tooling must build when the crates do not" },
];

const SHIPPED: &[&str] = &[
    "kode-core",
    "kode-import",
    "kode-mcp",
    "kode-otel",
    "kode-pool",
    "kode-provider-glm",
    "kode-sandbox",
    "kode-server",
    "kode-store-fs",
    "kode-store-postgres",
    "kode-store-redis",
    "kode-tools",
];

const WHOLE: &[&str] = &[
    "kode-core",
    "kode-import",
    "kode-mcp",
    "kode-otel",
    "kode-pool",
    "kode-provider-glm",
    "kode-sandbox",
    "kode-server",
    "kode-store-fs",
    "kode-store-postgres",
    "kode-store-redis",
    "kode-testkit",
    "kode-tools",
];

/// The crates that only the composition may name, and where that is.
pub(super) const LEAVES: &[&str] = &[
    "kode-mcp",
    "kode-otel",
    "kode-provider-glm",
    "kode-sandbox",
    "kode-store-fs",
    "kode-store-postgres",
    "kode-store-redis",
    "kode-tools",
];

/// The one place of kode-cli that names leaves (a file, or a directory of that name).
pub(super) const COMPOSITION: &str = "crates/kode-cli/src/compose";

/// Foreign crates that belong to few of ours; dev-dependencies are free.
pub(super) struct Owned {
    pub(super) dependencies: &'static [&'static str],
    pub(super) owners: &'static [&'static str],
    pub(super) why: &'static str,
}

pub(super) const OWNED: &[Owned] = &[
    Owned {
        dependencies: &["reqwest"],
        owners: &["kode-provider-glm", "kode-mcp", "kode-otel", "kode-server", "kode-cli"],
        why: "HTTP is spoken by the provider, by MCP, to a collector, by the server to other nodes, and by the command to a server",
    },
    Owned { dependencies: &["axum"], owners: &["kode-server"], why: "HTTP is served in one place" },
    Owned {
        dependencies: &["opentelemetry", "opentelemetry_sdk", "opentelemetry-otlp", "opentelemetry-http"],
        owners: &["kode-otel"],
        why: "traces and metrics for a collector are made in one place",
    },
    Owned {
        dependencies: &["redis"],
        owners: &["kode-store-redis"],
        why: "a backend stays behind the store port",
    },
    Owned {
        dependencies: &["sqlx", "tokio-postgres", "diesel"],
        owners: &["kode-store-postgres"],
        why: "a backend stays behind the store port",
    },
    Owned {
        dependencies: &["clap", "anyhow", "eyre", "color-eyre"],
        owners: &["kode-cli", "xtask", "examples", "kode-bench"],
        why: "a library has typed errors and no command line",
    },
    Owned {
        dependencies: &["landlock", "seccompiler", "cap-std"],
        owners: &["kode-sandbox"],
        why: "the kernel is asked in one place",
    },
];

/// What a host that depends on one crate alone must not have to compile.
pub(super) struct Closure {
    pub(super) package: &'static str,
    pub(super) without: &'static [&'static str],
    pub(super) why: &'static str,
}

const HTTP: &[&str] = &["axum", "h2", "hyper", "hyper-util", "reqwest", "rustls", "tower-http"];

pub(super) const CLOSURES: &[Closure] = &[
    Closure { package: "kode-core", without: HTTP, why: "the core compiles no HTTP" },
    Closure { package: "kode-store-fs", without: HTTP, why: "files need no HTTP" },
    Closure { package: "kode-sandbox", without: HTTP, why: "a sandbox needs no HTTP" },
    Closure { package: "kode-tools", without: HTTP, why: "the tools reach the outside by the sandbox port" },
    Closure { package: "kode-pool", without: HTTP, why: "a host may serve its pool as it likes" },
];
