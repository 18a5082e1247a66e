"""What every room stands on: errors, careful file writing, the artifact manifest, optional packages."""
