"""Exporters: one file per destination."""
