"""Where tasks come from: corpora, benchmarks and the overlap between them."""
