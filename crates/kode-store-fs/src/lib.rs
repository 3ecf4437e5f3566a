//! The file store of kode: checksummed journals, checkpoints, one lock per directory
