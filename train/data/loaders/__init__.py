"""One file per source; each returns canonical tables."""
