"""Processes: technology tables, node scaling, liberty libraries and memories."""
