"""Users and items come and go: admission, expiry, vocabulary growth, where new rows start."""
