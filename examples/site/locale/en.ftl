footer = Norderkliff is an example of Squall. Its wind is invented.
about-lead = Three people and a mast of twenty metres measure the weather on the cliff, day and night.
about-people = { $people } read the instruments, write the journal and scare the gulls away.
