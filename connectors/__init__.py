"""One file a kind of source; README.md beside this file says how to write one."""
