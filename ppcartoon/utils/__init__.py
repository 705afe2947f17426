"""Helpers without knowledge of cartoons: files, threads, signals, times, tables, image grids."""
