"""Keys, passwords and certificates: how they are made, what each service is given, and who has new ones."""
