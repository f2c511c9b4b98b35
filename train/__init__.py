"""Learning from history: data in, models fitted, bundles out."""
