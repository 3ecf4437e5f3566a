//! Resume-or-create with single flight over a kode runtime
