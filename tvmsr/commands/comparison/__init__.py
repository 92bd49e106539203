"""What `tvmsr compare` puts side by side: variants, how each is measured, and the tables."""
