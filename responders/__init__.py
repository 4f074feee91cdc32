"""One file a kind of responder; README.md beside this file says how to write one."""
