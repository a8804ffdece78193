footer = Norderkliff ist ein Beispiel für Squall. Sein Wind ist erfunden.
about-lead = Drei Menschen und ein zwanzig Meter hoher Mast messen das Wetter auf der Klippe, Tag und Nacht.
about-people = { $people } lesen die Geräte ab, führen das Tagebuch und verscheuchen die Möwen.
