"""Renderers of a chart."""
