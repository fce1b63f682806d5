"""Read models. A new one is one module here, a line in `registry`, and a migration."""
