"""What every other package stands on: settings, errors, files, and the one door to Ray."""
