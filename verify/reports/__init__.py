"""Reports of verifications, one file for each form. They show what `zoo.verify.result` holds and judge nothing."""
