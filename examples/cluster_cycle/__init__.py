"""One whole cycle of a scheduler on a real Dask cluster of three nodes, by Windlass and by today's Python loop."""
