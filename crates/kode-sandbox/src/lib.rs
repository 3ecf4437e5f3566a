//! Kernel-enforced file access (and, later, processes) for kode's tools
