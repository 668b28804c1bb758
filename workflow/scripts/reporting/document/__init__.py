"""What a report says: Report → Model → Line → Figure, decided once and written by ``reporting.writers``."""
