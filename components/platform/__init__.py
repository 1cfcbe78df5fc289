"""The ground that everything stands on: namespaces with their budgets and walls, accounts, credentials."""
