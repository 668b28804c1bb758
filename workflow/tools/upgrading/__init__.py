"""What upgrade.py is made of: what an index has, which versions fit together, and what is written."""
