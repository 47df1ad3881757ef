"""trainingOptions, its schedules and profiles, without torch."""
