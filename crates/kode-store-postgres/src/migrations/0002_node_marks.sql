-- What a node has written among the files that all nodes share, so that another can see whether it is there.
ALTER TABLE nodes ADD COLUMN mark text NOT NULL DEFAULT '';
