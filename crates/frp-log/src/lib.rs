//! Log lines in frp's layout: console or daily rotated file, through a bounded writer thread.
