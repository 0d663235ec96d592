"""The stages of a run. Read these first; only here is the whole recipe held."""
