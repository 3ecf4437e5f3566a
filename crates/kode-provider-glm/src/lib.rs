//! GLM chat completions as a kode model
