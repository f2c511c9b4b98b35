"""From raw files to checked, prepared and split interactions."""
