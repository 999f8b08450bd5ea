"""The way into the console: login, second factor, forgotten passwords, logins that end."""
