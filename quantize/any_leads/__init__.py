"""One decoder for any of the twelve leads: lead algebra, feed, training and scores."""
