"""What a role may cost when nobody asks for anything: src/roles/cache. What a reader may return: src/roles/ue."""
SCRUBBER, TEST = "src/roles/cache/scrubber.cpp", "roles_test:Scrubbers.*"
READER, READ = "src/roles/ue/object_reader.cpp", "roles_test:ObjectReader.*"
MUTANTS = [
    ("a few contents without end", SCRUBBER, "round_began_ + k_shortest_round", "now", TEST),
    ("all that was missed at once", SCRUBBER, "std::max(due_, now - k_made_good)", "due_", TEST),
    ("opening for nothing", SCRUBBER, "(chunk_ == 0 ? k_opening : 0)", "0", TEST),
    ("what cannot be opened without a pause", SCRUBBER, "due_ = now + k_pause;", "", TEST),
    ("contents that are never reached", SCRUBBER, "    found = next_content_(nullptr);\n", "", TEST),
    ("octets of a run that nobody compared", READER, "range != whole || !storage_.unchanged(begin, octets_)",
     "range != whole", READ),
    ("octets of a part of a run that nobody compared", READER, "range != whole || !storage_.unchanged(begin, octets_)",
     "!storage_.unchanged(begin, octets_) && range == whole", READ),
    ("a leaf that does not lead to the root", READER, "!tree_.mend(bin::leaf(chunk), leaves[i])",
     "tree_.hash(bin::leaf(chunk)) != leaves[i]", READ),
    ("octets that have not come", READER, "  SEALCAST_TRY(all_held(held, chunks_of_records(record, record)));\n", "",
     READ),
    ("padding that moves what follows", READER, "plain_.size() != octets_.size() - 17", "false", READ),
]
