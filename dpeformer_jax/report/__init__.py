"""One self-contained HTML page about a trained network: scores, plots, queries, provenance."""
