"""The evaluation harness: results, comparisons, reports."""
