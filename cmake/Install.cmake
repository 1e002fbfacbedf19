# `make install`. The program lies in lib/anneal beside its parts, which it looks for there; `make wheel` takes the
# component `program` alone. What they take from Python's packages is found at run time: no search path is written into them.
set(scripts anneal_program convert_checkpoint_to_hf dataset_module ray_train_sft render_chats report_metrics stream_dataset
    test_checkpoint transformers_engine)
list(TRANSFORM scripts REPLACE "(.+)" "${PROJECT_SOURCE_DIR}/python/\\1.py")
install(TARGETS anneal engine_module cuda_module arrow_module COMPONENT program
        RUNTIME DESTINATION lib/anneal LIBRARY DESTINATION lib/anneal)
install(FILES ${scripts} COMPONENT program DESTINATION lib/anneal)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/anneal_ray COMPONENT program DESTINATION lib/anneal FILES_MATCHING PATTERN *.py)

install(PROGRAMS ${PROJECT_SOURCE_DIR}/python/anneal-ray COMPONENT prefix DESTINATION lib/anneal)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${PROJECT_SOURCE_DIR}/LICENSE
        COMPONENT prefix DESTINATION share/doc/anneal)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs ${PROJECT_SOURCE_DIR}/configs COMPONENT prefix DESTINATION share/doc/anneal)
install(CODE "set(built_program ${CMAKE_BINARY_DIR}/anneal)" COMPONENT prefix)
install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/links_and_completion.cmake COMPONENT prefix)
