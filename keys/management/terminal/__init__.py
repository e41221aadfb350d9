"""What the commands that people and scripts type have in common: arguments, answers, questions, exit codes."""
