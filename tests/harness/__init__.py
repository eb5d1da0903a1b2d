"""What system and browser tests stand on: running daemons, an admin client that checks the contract, checks afterwards."""
