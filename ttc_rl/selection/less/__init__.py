"""LESS: selection by gradient similarity (arXiv 2402.04333)."""
