"""Standard-cell libraries: liberty files, the cells' functions, what a library lacks."""
