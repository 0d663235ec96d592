"""What runs inside a sandbox: standard library only, and little of that; see `driver`."""
