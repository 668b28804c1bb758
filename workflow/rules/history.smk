"""Tables of earlier runs: kept at the start of a run, before any of them is made anew → results/history/."""

from reporting import history


def keep_history():
    kept = history.keep(Path("results"))
    if kept:
        logger.info(f"Kept for comparison: {', '.join(map(str, kept))}")
