"""Records of one platform in one file, and the table recomputed from them."""
