"""Who may: identity, leavers, administrators, and tokens of the minter."""
