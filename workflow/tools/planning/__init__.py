"""What `plan.py` and `changed.py` say: why a job runs, and the words and tables of the terminal."""
