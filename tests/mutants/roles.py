"""What a role may cost when nobody asks for anything: src/roles/cache."""
SCRUBBER, TEST = "src/roles/cache/scrubber.cpp", "roles_test:Scrubbers.*"
MUTANTS = [
    ("a few contents without end", SCRUBBER, "round_began_ + k_shortest_round", "now", TEST),
    ("all that was missed at once", SCRUBBER, "std::max(due_, now - k_made_good)", "due_", TEST),
    ("opening for nothing", SCRUBBER, "(chunk_ == 0 ? k_opening : 0)", "0", TEST),
    ("what cannot be opened without a pause", SCRUBBER, "due_ = now + k_pause;", "", TEST),
    ("contents that are never reached", SCRUBBER, "    found = next_content_(nullptr);\n", "", TEST),
]
