"""What a run leaves to read: pages, tables, charts, model cards."""
