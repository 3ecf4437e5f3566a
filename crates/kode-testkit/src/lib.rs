//! Conformance suites, a scripted model, simulated time and stream rendering for tests of kode agents, tools and stores
