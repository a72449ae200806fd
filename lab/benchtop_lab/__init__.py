"""The user's side of a session: what runs inside the job, as the person."""
